/* A watched folder of actors' sockets. */
#pragma once

#include "discovery.h"

struct folder;

/* The domain (an index into domains[]) that a socket's file name belongs to, or -1 where it is no
 * actor's: `user-1`, `user-1.g7`. */
int folder_domain_of(const char *name);

struct folder *folder_open(const char *path, const struct discovery_events *events, void *arg) MUST;
void folder_tick(struct folder *folder);
void folder_close(struct folder *folder);
