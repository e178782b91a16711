/* Gives every row macro that the includer of contract.def did not define an empty meaning. Without
 * a guard: it is included each time. */
#ifndef FAULT
#define FAULT(...)
#endif
#ifndef RECORD
#define RECORD(...)
#endif
#ifndef FIELD
#define FIELD(...)
#endif
#ifndef END_RECORD
#define END_RECORD(...)
#endif
#ifndef MESSAGE
#define MESSAGE(...)
#endif
#ifndef IN
#define IN(...)
#endif
#ifndef OUT
#define OUT(...)
#endif
#ifndef EVENTS
#define EVENTS(...)
#endif
#ifndef FAULTS
#define FAULTS(...)
#endif
#ifndef END
#define END(...)
#endif
