/* lectern-<domain>: an actor. Compiled once for each domain. */
#include "handlers.h"

int main(int argc, char **argv)
{
    return actor_main(&DOMAIN_ITSELF, argc, argv);
}
