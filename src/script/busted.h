/* `moongate test`: busted in this process, with the test kit at hand. */
#ifndef MG_SCRIPT_BUSTED_H
#define MG_SCRIPT_BUSTED_H

/* Runs busted with these arguments, which do not include the program's name. Returns the exit
 * status: 0 when all specs passed. Complains on standard error when busted is not installed. */
int mg_busted_run(int argc, char **argv);

#endif
