/* Takes back the row macros after a pass. No guard: each pass includes it. */
#undef FAULT
#undef RECORD
#undef FIELD
#undef END_RECORD
#undef MESSAGE
#undef IN
#undef OUT
#undef FAULTS
#undef END
