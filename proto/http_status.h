/* The reason phrases of HTTP's status codes (RFC 9110, 15). */
#pragma once

/* The phrase that stands behind a status in an answer's first line, "Unknown" where there is none.
 */
const char *http_reason(int status);
