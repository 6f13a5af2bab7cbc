/*
 * Does the library give the answers that the standards print, with what accel.c has put under it?
 *
 * Asked through functions of the library that accel.c does not replace, so that the answers also
 * tell whether the library calls ours at all. Only where MG_TLS_ACCEL_FITS.
 */
#ifndef MG_TLS_ACCEL_ANSWERS_H
#define MG_TLS_ACCEL_ANSWERS_H

#include <stdbool.h>

bool mg_accel_gcm_answers(void);        /* NIST's cases of AES-128-GCM and AES-256-GCM */
bool mg_accel_chachapoly_answers(void); /* RFC 8439 2.8.2 */
bool mg_accel_ecdh_answers(void);       /* RFC 5903, RFC 7748 */
bool mg_accel_ecdsa_answers(void);      /* RFC 6979 */
bool mg_accel_sha2_answers(void);       /* FIPS 180-4 */

#endif
