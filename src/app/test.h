/* `moongate test`. */
#ifndef MG_APP_TEST_H
#define MG_APP_TEST_H

/* Runs specs; the arguments are busted's, without the program's and the command's name. Returns the
 * exit status. */
int mg_app_test(int argc, char **argv);

#endif
