// The numbers that were chosen rather than derived, per compute capability.
#ifndef TFVAE_CUDA_TUNING_H_
#define TFVAE_CUDA_TUNING_H_

#include <stdint.h>

namespace tfvae {
namespace TFVAE_ISA {

struct Tuning {
  int capability;          // 10 major + minor; a row holds from there up to the next row.
  int threads;             // Of a block; a multiple of 32.
  int packets_per_thread;  // 16-byte packets that a thread takes in one unit of work, at most.
  int blocks_wanted;       // Small problems are cut finer until there are so many blocks.
};

// They follow from the number of multiprocessors (68, 108, 128 and 132) and the bytes in flight that the memory needs.
constexpr Tuning kTunings[] = {
    {0, 256, 4, 272},
    {80, 256, 4, 864},
    {89, 256, 4, 1024},
    {90, 256, 4, 1056},
};

constexpr int kMostThreads = 256;

// Blocks that fit on a multiprocessor at once where a thread has so many registers, of 65536 in all.
constexpr int blocks_that_fit(int registers) { return 65536 / (registers * kMostThreads); }

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
