// The numbers that were chosen rather than derived, per compute capability. They are read on the host by the capability
// of the device, except those of blocks that fit, by which the compiler limits registers, for the one it compiles for.
#ifndef TFVAE_CUDA_TUNING_H_
#define TFVAE_CUDA_TUNING_H_

#include <stdint.h>

namespace tfvae {
namespace TFVAE_ISA {

// How many values a kernel keeps per thread, as far as it matters for how many blocks fit.
enum Weight { kLight, kMedium, kHeavy, kHeaviest };

struct Tuning {
  int capability;          // 10 major + minor; a row holds from there up to the next row.
  int threads;             // Of a block; a multiple of 32.
  int packets_per_thread;  // 16-byte packets that a thread takes in one unit of work, at most.
  int blocks_wanted;       // Small problems are cut finer until there are so many blocks.
  int blocks[4];           // That must fit on a multiprocessor at once, by Weight.
};

// The blocks of the last row were measured, on an H100. The rest follows from the register file, the number of
// multiprocessors (68, 108, 128 and 132) and the bytes in flight that the memory needs.
constexpr Tuning kTunings[] = {
    {0, 256, 4, 272, {2, 2, 2, 1}},
    {80, 256, 4, 864, {3, 3, 2, 1}},
    {89, 256, 4, 1024, {3, 3, 2, 1}},
    {90, 256, 4, 1056, {4, 3, 2, 1}},
};

constexpr int kMostThreads = 256;

constexpr Tuning tuning_of(int capability) {
  Tuning found = kTunings[0];
  for (const Tuning& tuning : kTunings) {
    if (tuning.capability <= capability) found = tuning;
  }
  return found;
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_TUNING_H_
