// Spellings of compiler attributes, so that each is explained once.
#ifndef HAKMEM_PLATFORM_COMPILER_H_
#define HAKMEM_PLATFORM_COMPILER_H_

#define HAK_LIKELY(x) __builtin_expect(!!(x), 1)
#define HAK_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HAK_ALWAYS_INLINE inline __attribute__((always_inline))
#define HAK_NOINLINE __attribute__((noinline))
// A variable of this library's own: read without the indirection of one that another library might define.
#define HAK_HIDDEN __attribute__((visibility("hidden")))
// The address to which the function returns that this stands in.
#define HAK_CALLER() __builtin_extract_return_addr(__builtin_return_address(0))
#define HAK_COLD __attribute__((noinline, cold))

// Code that reads or writes memory which the address sanitizer holds for poisoned: the link words inside free blocks.
#if defined(__clang__)
#define HAK_NO_ASAN __attribute__((no_sanitize("address")))
#else
#define HAK_NO_ASAN __attribute__((no_sanitize_address))
#endif

// A look at what another thread may be changing, which is no fault where a wrong answer does no harm.
#if defined(__clang__)
#define HAK_NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define HAK_NO_TSAN __attribute__((no_sanitize_thread))
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAK_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HAK_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAK_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define HAK_TSAN 1
#endif

// Makes the compiler take the value of an expression as it stands, where an algebraic rewriting costs an instruction.
#define HAK_OPAQUE(x) __asm__("" : "+r"(x))

// Clang's thread-safety analysis (https://clang.llvm.org/docs/ThreadSafetyAnalysis.html).
#if defined(__clang__)
#define HAK_TSA(x) __attribute__((x))
#else
#define HAK_TSA(x)
#endif
#define HAK_CAPABILITY(x) HAK_TSA(capability(x))
#define HAK_SCOPED_CAPABILITY HAK_TSA(scoped_lockable)
#define HAK_GUARDED_BY(x) HAK_TSA(guarded_by(x))
#define HAK_REQUIRES(...) HAK_TSA(requires_capability(__VA_ARGS__))
#define HAK_EXCLUDES(...) HAK_TSA(locks_excluded(__VA_ARGS__))
#define HAK_ACQUIRE(...) HAK_TSA(acquire_capability(__VA_ARGS__))
#define HAK_TRY_ACQUIRE(...) HAK_TSA(try_acquire_capability(__VA_ARGS__))
#define HAK_RELEASE(...) HAK_TSA(release_capability(__VA_ARGS__))
#define HAK_NO_THREAD_SAFETY_ANALYSIS HAK_TSA(no_thread_safety_analysis)

#endif  // HAKMEM_PLATFORM_COMPILER_H_
