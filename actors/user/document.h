/* An exported document, checked and taken apart into columns, from which a few statements store it.
 *
 * The records of the contract say what is in a section: each of their members but the lists is a
 * column, in the order of the rows. A section's messages are a section too, with the number of the
 * item that each belongs to. */
#pragma once

#include "arrays.h"

enum document_part {
    PART_insights,
    PART_insight_messages,
    PART_chats,
    PART_chat_messages,
    PART_definitions,
    PART_COUNT
};

enum { COLUMNS_MOST = 8 };

struct document_section {
    const struct record *record;        /* of its items */
    struct array columns[COLUMNS_MOST]; /* a member each */
    unsigned column_count;              /* of them */
    struct array owner;                 /* of messages: number of the item, from 1 */
    uint32_t count;                     /* of items */
};

struct document {
    struct document_section sections[PART_COUNT];
};

/* Reads a document, which is the bytes of a map, and lets the loop turn meanwhile. NULL with
 * import_refused recorded, whose text says what is wrong first and where; or busy. It is freed when
 * the call ends. */
struct document *document_read(struct call *call, struct str bytes) MUST;
