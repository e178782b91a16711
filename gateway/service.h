/* The gateway's own routes: `/`, `/health`, `/ready`, `/openapi.json`. */
#pragma once

/* Builds the routing table, with these in it, and their texts. Ends the program without memory. */
void service_open(void);
void service_close(void);
