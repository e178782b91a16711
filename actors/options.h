/* What can be set on an actor, a row each. */
#pragma once

#include "base/option.h"
#include "llm/options.h"
#include "pool.h"

#define ACTOR_OPTIONS(OPTION)                                                                      \
    COMMON_OPTIONS(OPTION)                                                                         \
    POOL_OPTIONS(OPTION)                                                                           \
    LLM_OPTIONS(OPTION)                                                                            \
    OPTION(instance, text, "LECTERN_INSTANCE", "1", 0, 0, fixed,                                   \
           "which of several actors of its domain this is: in its socket's name and its log")      \
    OPTION(listen, text, "LECTERN_LISTEN", "", 0, 0, fixed,                                        \
           "where messages come in: `ipc:///path`, `tcp://host:port`; empty: a socket in the "     \
           "state folder's `actors`")                                                              \
    OPTION(listen_insecure, flag, "LECTERN_LISTEN_INSECURE", "off", 0, 0, fixed,                   \
           "allow tcp:// beyond loopback, where whoever reaches the port may send any message")    \
    OPTION(mailbox, number, "LECTERN_MAILBOX", "2048", 1, 16384, fixed,                            \
           "calls that may be in flight at one time; more are answered `busy`")                    \
    OPTION(mailbox_bytes, bytes, "LECTERN_MAILBOX_BYTES", "64MiB", 65536, 4294967296, fixed,       \
           "bytes of such calls' messages")                                                        \
    OPTION(call_memory, bytes, "LECTERN_CALL_MEMORY", "64MiB", 65536, 4294967296, fixed,           \
           "memory that one call may use")                                                         \
    OPTION(ai_limit, number, "AI_ENDPOINT_LIMIT", "10", 0, 1000000000, reloadable,                 \
           "insights, and definitions, that a user may ask for in a minute; 0: no limit")          \
    OPTION(chat_limit, number, "CHAT_ENDPOINT_LIMIT", "20", 0, 1000000000, reloadable,             \
           "messages that a user may send in a minute, of each kind of chat; 0: no limit")         \
    OPTION(keep, bytes, "LECTERN_KEEP", "32MiB", 65536, 4294967296, fixed,                         \
           "memory for what is kept of the database, so that it need not be asked again")

OPTIONS_STRUCT(actor_options, ACTOR_OPTIONS);
