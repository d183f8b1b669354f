// Sharing of loops with a pool's threads: everything is done once, whether the pool helps early, late or never.
#include "csrc/cpu/share_work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace tfvae {
namespace {

constexpr int64_t kCycles = 10000;  // Per item: 10 are worth a thread.

using Tasks = std::vector<std::function<void()>>;

// Runs a loop of `count` items on a pool that leaves its tasks lying; returns how often each item was done.
std::vector<int> done_alone(int64_t count, int64_t threads, Tasks* tasks) {
  std::vector<int> done(count);
  share_work(
      count, kCycles, threads,
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++done[i];
      },
      [tasks](auto task) { tasks->push_back(task); });
  return done;
}

TEST(ShareWork, ACallerThatNobodyHelpsDoesEverything) {
  for (int64_t count : {0, 1, 39, 40, 41, 1003}) {
    Tasks tasks;
    EXPECT_EQ(done_alone(count, 8, &tasks), std::vector<int>(count, 1)) << count;
  }
}

TEST(ShareWork, HelpersThatStartAfterTheLoopFindNothingLeft) {
  Tasks tasks;
  done_alone(1003, 8, &tasks);  // The body is gone by now.
  ASSERT_EQ(tasks.size(), 7u);
  for (const auto& task : tasks) task();
}

TEST(ShareWork, OnlyWorkThatPaysForThemWakesThreads) {
  const auto helpers = [](int64_t count, int64_t threads) {
    Tasks tasks;
    done_alone(count, threads, &tasks);
    return static_cast<int>(tasks.size());
  };
  EXPECT_EQ(helpers(19, 8), 0);
  EXPECT_EQ(helpers(20, 8), 1);
  EXPECT_EQ(helpers(30, 8), 2);
  EXPECT_EQ(helpers(1000, 8), 7);
  EXPECT_EQ(helpers(1000, 1), 0);
  EXPECT_EQ(helpers(1000, 0), 0);
}

TEST(ShareWork, EverybodyWalksThroughFewLongStretchesFromAnEnd) {
  for (const bool helped : {false, true}) {
    std::vector<std::pair<int64_t, int64_t>> parts;
    share_work(
        100000, kCycles, 2, [&parts](int64_t begin, int64_t end) { parts.emplace_back(begin, end); },
        [helped](auto task) {
          if (helped) task();  // At once, so that nothing is left for the caller.
        });
    EXPECT_EQ(parts.front().second - parts.front().first, 100000 / 8);
    EXPECT_EQ(parts.back().second - parts.back().first, 1);
    EXPECT_LT(parts.size(), 100u);
    if (helped) std::reverse(parts.begin(), parts.end());
    EXPECT_EQ(parts.front().first, 0);
    for (size_t i = 1; i < parts.size(); ++i) EXPECT_EQ(parts[i].first, parts[i - 1].second);
    EXPECT_EQ(parts.back().second, 100000);
  }
}

TEST(ShareWork, ThreadsThatHelpDoEachItemOnce) {
  const auto caller = std::this_thread::get_id();
  for (int repetition = 0; repetition < 200; ++repetition) {
    std::vector<int> done(997);  // Not atomic: no two threads have the same item, as the thread sanitizer would see.
    std::vector<std::thread> pool;
    share_work(
        997, kCycles, 4,
        [&](int64_t begin, int64_t end) {
          // The last to be ready are helpers, so that it shows if nobody waits for them.
          if (std::this_thread::get_id() != caller) std::this_thread::sleep_for(std::chrono::microseconds(500));
          for (int64_t i = begin; i < end; ++i) ++done[i];
        },
        [&pool](auto task) { pool.emplace_back(task); });
    EXPECT_EQ(done, std::vector<int>(997, 1));  // All of it is done before the threads have ended.
    for (std::thread& thread : pool) thread.join();
  }
}

TEST(ShareWork, ACallerInsideThePoolDoesNotWaitForItself) {
  // A pool of one thread that runs its tasks one after another, and the loop as one of them.
  Tasks queue;
  std::vector<int> done(100);
  queue.push_back([&] {
    share_work(
        100, kCycles, 2,
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++done[i];
        },
        [&queue](auto task) { queue.push_back(task); });
  });
  for (size_t i = 0; i < queue.size(); ++i) {
    const auto task = queue[i];  // A copy: the queue grows.
    task();
  }
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(done, std::vector<int>(100, 1));
}

}  // namespace
}  // namespace tfvae
