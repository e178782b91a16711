/* One request as llhttp reads it: another parser's opinion of the same bytes. */
#pragma once

#include "base/arena.h"

enum oracle_end {
    ORACLE_COMPLETE, /* the request ends at `used` */
    ORACLE_MORE,     /* it goes on behind the bytes */
    ORACLE_REFUSED,  /* it is none */
};

struct oracle {
    enum oracle_end end;
    char why[80];            /* of a refusal, terminated */
    size_t used;             /* bytes of a complete request, or where it was refused */
    bool head_complete;      /* all below but `body` is known */
    struct buffer method;    /* as sent */
    struct buffer target;    /* as sent */
    struct buffer fields;    /* each as `name:value` and a LF, without trailing blanks */
    struct buffer body;      /* what has come of it */
    int major, minor;        /* of the version */
    bool chunked;            /* Transfer-Encoding frames the body */
    uint64_t content_length; /* 0 where there is none */
    bool keep_alive;         /* as the head says: trailers not counted */
    bool in_trailers;        /* it stands behind the last chunk */
};

/* Reads one request from the start of `bytes`; oracle_free() is due. */
void oracle_read(struct str bytes, struct oracle *oracle);
void oracle_free(struct oracle *oracle);
