/* What somebody with access to the file, but not to the key, might try. Each function prints what it did and
 * returns true if it was refused as it must be. */
#ifndef ATTACKS_H
#define ATTACKS_H

#include <stdbool.h>

/* The file is searched for `plaintext`, a text that every page holds. */
bool attack_read_plaintext(const char *path, const char *plaintext);

/* One bit of a page is turned over in a copy of the file. */
bool attack_alter_page(const char *config, const char *path);

/* Two pages, with their overheads, change places in a copy of the file. */
bool attack_swap_pages(const char *config, const char *path);

/* The file is opened while another key file lies where the configuration names one. */
bool attack_wrong_key(const char *config, const char *path, const char *key_file);

#endif
