/* What AddressSanitizer and LeakSanitizer want to be told; nothing without them. Only for the .c
 * files of this folder, and its tests. */
#pragma once

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

/* The compiler is kept from thinking that memory fresh from malloc() is read here. */
static inline void memory_closed(void *at, size_t bytes)
{
    __asm__("" : "+r"(at));
    __asan_poison_memory_region(at, bytes);
}

#define MEMORY_CLOSED(at, bytes) memory_closed((at), (bytes))
#define MEMORY_OPEN(at, bytes) __asan_unpoison_memory_region((at), (bytes))
#define MEMORY_ROOT(at, bytes) __lsan_register_root_region((at), (bytes))
#define MEMORY_NO_ROOT(at, bytes) __lsan_unregister_root_region((at), (bytes))
#define STACK_LEAVE(save, bottom, bytes) __sanitizer_start_switch_fiber((save), (bottom), (bytes))
#define STACK_ENTER(saved, from, bytes) __sanitizer_finish_switch_fiber((saved), (from), (bytes))
#else
#define MEMORY_CLOSED(at, bytes) ((void)(at), (void)(bytes))
#define MEMORY_OPEN(at, bytes) ((void)(at), (void)(bytes))
#define MEMORY_ROOT(at, bytes) ((void)(at), (void)(bytes))
#define MEMORY_NO_ROOT(at, bytes) ((void)(at), (void)(bytes))
#define STACK_LEAVE(save, bottom, bytes) ((void)(save), (void)(bottom), (void)(bytes))
#define STACK_ENTER(saved, from, bytes) ((void)(saved), (void)(from), (void)(bytes))
#endif
