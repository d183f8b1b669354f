// The noise of a packet, made in registers.
#ifndef TFVAE_CUDA_NOISE_H_
#define TFVAE_CUDA_NOISE_H_

#include "csrc/core/box_muller.h"
#include "csrc/core/philox.h"
#include "csrc/cuda/device_seed.h"
#include "csrc/cuda/packet.h"

namespace tfvae {
namespace TFVAE_ISA {

TFVAE_DEVICE PhiloxStream stream_of(const DeviceSeed& seed) {
  if (seed.is_int64) {
    const int64_t* words = static_cast<const int64_t*>(seed.data);
    return stream_of_seed(words[0], words[1]);
  }
  const int32_t* words = static_cast<const int32_t*>(seed.data);
  return stream_of_seed(words[0], words[1]);
}

// Normals of one Philox group.
template <class A>
inline constexpr int kGroupSize = 4;
template <>
inline constexpr int kGroupSize<double> = 2;

TFVAE_DEVICE void normals_of_group(uint64_t group, const PhiloxStream& stream, float* out) {
  const PhiloxWords<uint64_t> w = philox<uint64_t>(group, stream);
  const Point<float> a = box_muller<float>(static_cast<int32_t>(w.w0), static_cast<int32_t>(w.w1));
  const Point<float> b = box_muller<float>(static_cast<int32_t>(w.w2), static_cast<int32_t>(w.w3));
  out[0] = a.y;
  out[1] = a.x;
  out[2] = b.y;
  out[3] = b.x;
}

TFVAE_DEVICE void normals_of_group(uint64_t group, const PhiloxStream& stream, double* out) {
  const PhiloxWords<uint64_t> w = philox<uint64_t>(group, stream);
  const uint64_t radius = w.w0 << 32 | (w.w1 & 0xffffffff), turn = w.w2 << 32 | (w.w3 & 0xffffffff);
  const Point<double> n = box_muller<double>(static_cast<int64_t>(radius), static_cast<int64_t>(turn));
  out[0] = n.y;
  out[1] = n.x;
}

// Of the elements from `start` on, a multiple of the group's size.
template <class T>
TFVAE_DEVICE Packet<T> noise_of_packet(int64_t start, const PhiloxStream& stream) {
  constexpr int G = kGroupSize<Arithmetic<T>>;
  const uint64_t group = static_cast<uint64_t>(start) / G;
  Packet<T> eps;
  for (int i = 0; i < kPacketSize<T> / G; ++i) normals_of_group(group + i, stream, eps.at + i * G);
  return eps;
}

// Of the elements from any `start` on: where groups do not start with the packet, it takes part of one more.
template <class T>
TFVAE_DEVICE Packet<T> noise_from(int64_t start, const PhiloxStream& stream) {
  using A = Arithmetic<T>;
  constexpr int G = kGroupSize<A>, P = kPacketSize<T>;
  const int lead = static_cast<int>(start % G);
  const Packet<T> whole = noise_of_packet<T>(start - lead, stream);
  if (lead == 0) return whole;
  A all[P + G];
  for (int i = 0; i < P; ++i) all[i] = whole.at[i];
  normals_of_group(static_cast<uint64_t>(start - lead) / G + P / G, stream, all + P);
  // By one and by two, so that no register is indexed by a variable.
  for (int shift = 1; shift < G; shift *= 2) {
    for (int i = 0; i + shift < P + G; ++i) all[i] = (lead & shift) != 0 ? all[i + shift] : all[i];
  }
  Packet<T> eps;
  for (int i = 0; i < P; ++i) eps.at[i] = all[i];
  return eps;
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_NOISE_H_
