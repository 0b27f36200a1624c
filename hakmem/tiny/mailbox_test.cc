// The mailbox: one name at a time, taken once.

#include "hakmem/tiny/mailbox.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"
#include "testing/support/threads.h"

namespace hakmem {
namespace {

TEST(MailboxTest, HoldsOneName) {
  BasicMailbox<int> mailbox;
  int first;
  int second;
  EXPECT_EQ(mailbox.Take(), nullptr);
  EXPECT_TRUE(mailbox.Post(&first));
  EXPECT_FALSE(mailbox.Post(&second)) << "not written over";
  EXPECT_EQ(mailbox.Take(), &first);
  EXPECT_EQ(mailbox.Take(), nullptr);
  EXPECT_TRUE(mailbox.Post(&second));
  EXPECT_EQ(mailbox.Take(), &second);
}

TEST(MailboxTest, ANameThatWasPostedIsTakenOnceAndComesWithWhatWasWritten) {
  struct Name {
    int written = 0;  // plain: the mailbox orders
    std::atomic<int> taken{0};
  };
  constexpr size_t kNames = 4000;
  constexpr unsigned kThreads = 2;
  BasicMailbox<Name> mailbox;
  std::vector<Name> names(kThreads * kNames);
  std::atomic<size_t> posted{0};
  std::atomic<size_t> taken{0};
  std::atomic<unsigned> posting{kThreads};
  test::RunTogether(2 * kThreads, [&](unsigned i) {
    if (i < kThreads) {
      for (size_t n = 0; n < kNames; ++n) {
        Name& name = names[i * kNames + n];
        name.written = 1;
        if (mailbox.Post(&name)) posted.fetch_add(1, std::memory_order_relaxed);  // a count
      }
      posting.fetch_sub(1);
      return;
    }
    for (bool last = false; !last;) {
      last = posting.load() == 0;
      while (Name* name = mailbox.Take()) {
        ASSERT_EQ(name->written, 1);
        ASSERT_EQ(name->taken.fetch_add(1, std::memory_order_relaxed), 0);  // a count
        taken.fetch_add(1, std::memory_order_relaxed);                      // a count
      }
    }
  });
  EXPECT_EQ(taken.load(), posted.load());
}

}  // namespace
}  // namespace hakmem
