/* The table of status codes. */
#include "http_status.h"

#define HTTP_REASONS(REASON)                                                                       \
    REASON(100, "Continue")                                                                        \
    REASON(200, "OK")                                                                              \
    REASON(201, "Created")                                                                         \
    REASON(202, "Accepted")                                                                        \
    REASON(204, "No Content")                                                                      \
    REASON(206, "Partial Content")                                                                 \
    REASON(301, "Moved Permanently")                                                               \
    REASON(302, "Found")                                                                           \
    REASON(303, "See Other")                                                                       \
    REASON(304, "Not Modified")                                                                    \
    REASON(307, "Temporary Redirect")                                                              \
    REASON(308, "Permanent Redirect")                                                              \
    REASON(400, "Bad Request")                                                                     \
    REASON(401, "Unauthorized")                                                                    \
    REASON(402, "Payment Required")                                                                \
    REASON(403, "Forbidden")                                                                       \
    REASON(404, "Not Found")                                                                       \
    REASON(405, "Method Not Allowed")                                                              \
    REASON(406, "Not Acceptable")                                                                  \
    REASON(408, "Request Timeout")                                                                 \
    REASON(409, "Conflict")                                                                        \
    REASON(410, "Gone")                                                                            \
    REASON(411, "Length Required")                                                                 \
    REASON(412, "Precondition Failed")                                                             \
    REASON(413, "Content Too Large")                                                               \
    REASON(414, "URI Too Long")                                                                    \
    REASON(415, "Unsupported Media Type")                                                          \
    REASON(417, "Expectation Failed")                                                              \
    REASON(421, "Misdirected Request")                                                             \
    REASON(422, "Unprocessable Content")                                                           \
    REASON(426, "Upgrade Required")                                                                \
    REASON(428, "Precondition Required")                                                           \
    REASON(429, "Too Many Requests")                                                               \
    REASON(431, "Request Header Fields Too Large")                                                 \
    REASON(500, "Internal Server Error")                                                           \
    REASON(501, "Not Implemented")                                                                 \
    REASON(502, "Bad Gateway")                                                                     \
    REASON(503, "Service Unavailable")                                                             \
    REASON(504, "Gateway Timeout")                                                                 \
    REASON(505, "HTTP Version Not Supported")

#define HTTP_REASON_CASE(status, text)                                                             \
    case status:                                                                                   \
        return text;

const char *http_reason(int status)
{
    switch (status) {
        HTTP_REASONS(HTTP_REASON_CASE)
    default:
        return "Unknown";
    }
}
