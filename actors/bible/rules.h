/* What a question about the Bible means: pure decisions, without the database. */
#pragma once

#include "cache.h"

/* Verses asked for, both included. */
struct range {
    int64_t first, last;
};

/* The range of `start` and `end` (INT_ABSENT: one verse); false where it can hold no verse. */
bool range_of(int64_t start, int64_t end, struct range *range) MUST;

/* Which of a chapter's verses lie in it: from `*from`, `*count` of them. */
void range_select(const struct range *range, const struct chapter *chapter, size_t *from,
                  size_t *count);

/* `John 3:16`, `John 3:16-18`; absent without memory. */
struct str passage_reference(struct arena *arena, struct str book, int64_t chapter,
                             const struct range *range) MUST;

/* `John 3`; absent without memory. */
struct str chapter_reference(struct arena *arena, struct str book, int64_t chapter) MUST;

/* The validator of a translation's answers; absent without memory. */
struct str bible_validator(struct arena *arena, struct str code, int64_t version) MUST;

/* The texts of verses, joined by blanks; absent without memory. */
struct str join_texts(struct arena *arena, const struct bible_verse *verses, size_t count) MUST;
