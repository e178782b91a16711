/* What all fuzzers share.
 *
 * Each fuzzer is one file that defines LLVMFuzzerTestOneInput(): linked with libFuzzer it searches,
 * linked with replay.c it runs the files of its corpus once. What must hold is said with HOLDS();
 * the sanitizers say the rest. Where an input is also given in pieces, the places of the cuts
 * follow from its own bytes, so that a file of the corpus is nothing but what a peer would send. */
#pragma once

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program with a sentence where the condition does not hold. */
#define HOLDS(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold: ", __FILE__, __LINE__, #condition);          \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Lengths of pieces, as if by chance. */
struct cuts {
    uint64_t state;
};

/* The cuts that belong to these bytes. */
static inline struct cuts cuts_of(struct str bytes)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3u;
    return (struct cuts){hash | 1};
}

/* The next piece of `left` bytes: at least 1 of them, and often few. */
static inline size_t cuts_next(struct cuts *cuts, size_t left)
{
    uint64_t most;

    cuts->state ^= cuts->state << 13;
    cuts->state ^= cuts->state >> 7;
    cuts->state ^= cuts->state << 17;
    most = cuts->state & 1 ? 4 : 64;
    most = most < left ? most : left;
    return 1 + (size_t)(cuts->state >> 8) % most;
}

/* A copy that ends where the sanitizer sees reading past its end; free() it. */
static inline char *exact_copy(const char *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    HOLDS(copy != NULL, "no memory");
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}
