/* What can be set on a gateway, a row each. */
#pragma once

#include "base/option.h"

#define GATEWAY_OPTIONS(OPTION)                                                                    \
    COMMON_OPTIONS(OPTION)                                                                         \
    OPTION(http, text, "LECTERN_HTTP", "127.0.0.1:8000", 0, 0, fixed,                              \
           "address that clients connect to: `host:port`, `[v6]:port`")                            \
    OPTION(instance, text, "LECTERN_INSTANCE", "1", 0, 0, fixed,                                   \
           "which of several gateways this is: in its log and its admin file's name")              \
    OPTION(actors, text, "LECTERN_ACTORS", "", 0, 0, fixed,                                        \
           "where actors are: a folder of sockets (empty: `actors` in the state folder), or a "    \
           "list `user=tcp://host:port,bible=tcp://…`; each address of a host name is used")       \
    OPTION(connections, number, "LECTERN_CONNECTIONS", "20000", 1, 1000000, fixed,                 \
           "clients that may be connected at one time")                                            \
    OPTION(exchanges, number, "LECTERN_EXCHANGES", "8192", 1, 16384, fixed,                        \
           "requests that may be in flight at one time; more are answered 503")                    \
    OPTION(outstanding, number, "LECTERN_OUTSTANDING", "2048", 1, 16384, fixed,                    \
           "calls that may be in flight to one actor")                                             \
    OPTION(outstanding_bytes, bytes, "LECTERN_OUTSTANDING_BYTES", "64MiB", 65536, 4294967296,      \
           fixed, "bytes of such calls")                                                           \
    OPTION(read_deadline, duration, "LECTERN_READ_DEADLINE", "5s", 1000, 600000000, reloadable,    \
           "time for a request that only reads, from when it was read")                            \
    OPTION(write_deadline, duration, "LECTERN_WRITE_DEADLINE", "10s", 1000, 600000000, reloadable, \
           "time for a request that writes")                                                       \
    OPTION(stream_deadline, duration, "LECTERN_STREAM_DEADLINE", "300s", 1000, 600000000,          \
           reloadable, "time of an answer that comes in pieces, once its first one is there")      \
    OPTION(head_deadline, duration, "LECTERN_HEAD_DEADLINE", "10s", 1000, 3600000000, reloadable,  \
           "time for the head of a request, from its first byte or from the accept")               \
    OPTION(idle_deadline, duration, "LECTERN_IDLE_DEADLINE", "75s", 1000, 3600000000, reloadable,  \
           "time that a client may stay connected without a request")                              \
    OPTION(body_deadline, duration, "LECTERN_BODY_DEADLINE", "10s", 1000, 3600000000, reloadable,  \
           "how often it is looked whether a body comes at its least rate")                        \
    OPTION(body_rate, bytes, "LECTERN_BODY_RATE", "1KiB", 1, 1073741824, reloadable,               \
           "bytes a second that a body comes with, at least")                                      \
    OPTION(send_deadline, duration, "LECTERN_SEND_DEADLINE", "30s", 1000, 3600000000, reloadable,  \
           "how often it is looked whether a client reads its answer at the least rate")           \
    OPTION(send_rate, bytes, "LECTERN_SEND_RATE", "1KiB", 1, 1073741824, reloadable,               \
           "bytes a second that a client reads of an answer, at least")                            \
    OPTION(cache, bytes, "LECTERN_CACHE", "16MiB", 0, 4294967296, fixed,                           \
           "memory for answers that hold until the next import of a Bible; 0: none are kept")      \
    OPTION(trusted_proxies, text, "LECTERN_TRUSTED_PROXIES", "", 0, 0, fixed,                      \
           "networks whose X-Forwarded-For is believed: `10.0.0.0/8,::1`")                         \
    OPTION(environment, text, "ENVIRONMENT", "development", 0, 0, fixed,                           \
           "`production` marks cookies Secure and tells browsers to insist on TLS")                \
    OPTION(cors_origins, text, "CORS_ORIGINS", "http://localhost:5173,http://localhost:3000", 0,   \
           0, fixed, "origins whose pages may ask: a JSON list, or separated by commas")           \
    OPTION(write_limit, number, "WRITE_ENDPOINT_LIMIT", "600", 0, 1000000000, reloadable,          \
           "writes a user may make in a minute; 0: any number")                                    \
    OPTION(new_user_limit, number, "NEW_USER_LIMIT", "120", 0, 1000000000, reloadable,             \
           "users that an address may make in a minute; 0: any number")

OPTIONS_STRUCT(gateway_options, GATEWAY_OPTIONS);
