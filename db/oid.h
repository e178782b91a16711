/* PostgreSQL's built-in types by their fixed numbers, and their binary forms where they are odd. */
#pragma once

#include <stdint.h>

enum oid {
    OID_bool = 16,
    OID_bytea = 17,
    OID_name = 19,
    OID_int8 = 20,
    OID_int2 = 21,
    OID_int4 = 23,
    OID_text = 25,
    OID_json = 114,
    OID_bool_array = 1000,
    OID_int4_array = 1007,
    OID_text_array = 1009,
    OID_bpchar = 1042,
    OID_varchar = 1043,
    OID_timestamptz = 1184,
    OID_timestamptz_array = 1185,
    OID_jsonb = 3802
};

enum { JSONB_VERSION = 1 }; /* the first byte of a jsonb */

/* 2000-01-01 UTC, from which timestamptz counts, in microseconds since 1970. */
static const int64_t EPOCH_2000_US = INT64_C(946684800000000);
