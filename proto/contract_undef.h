/* Takes back the row macros. Without a guard: it is included each time. */
#undef FAULT
#undef RECORD
#undef FIELD
#undef END_RECORD
#undef MESSAGE
#undef IN
#undef OUT
#undef EVENTS
#undef FAULTS
#undef END
