/*
 * Takes record buffers from idle connections and gives them back. One thread.
 *
 * The library must never free a buffer of ours: a connection that goes is stripped of them before.
 */
#include "tls/shelf.h"

#include <mbedtls/platform.h>
#include <mbedtls/version.h>
#include <string.h>

#if MBEDTLS_VERSION_NUMBER < 0x03000000 && !defined(MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH)
#include <mbedtls/ssl_internal.h>
#define CAN_SHELVE 1
/* One size for both kinds, so that any buffer fits anywhere. */
_Static_assert(MBEDTLS_SSL_IN_BUFFER_LEN == MBEDTLS_SSL_OUT_BUFFER_LEN, "buffers differ");
#define BUFFER_BYTES MBEDTLS_SSL_IN_BUFFER_LEN
#else
#define CAN_SHELVE 0
#define BUFFER_BYTES 1 /* none is ever asked for */
#endif

void mg_tls_shelf_init(struct mg_tls_shelf *shelf)
{
    mg_pool_init(&shelf->buffers, BUFFER_BYTES);
}

void mg_tls_shelf_release(struct mg_tls_shelf *shelf)
{
    mg_pool_release(&shelf->buffers);
}

void mg_tls_shelf_trim(struct mg_tls_shelf *shelf)
{
    mg_pool_trim(&shelf->buffers);
}

#if CAN_SHELVE

/* The library's pointers into a buffer, moved by the distance between two buffers. With no buffer
 * they are offsets: pointers from NULL. */
static void move(unsigned char **p, uintptr_t from, uintptr_t to)
{
    if (*p || from == 0)
        *p = (unsigned char *)((uintptr_t)*p - from + to);
}

static void move_in(mbedtls_ssl_context *ssl, unsigned char *buffer)
{
    uintptr_t from = (uintptr_t)ssl->in_buf, to = (uintptr_t)buffer;
    move(&ssl->in_ctr, from, to);
    move(&ssl->in_hdr, from, to);
#if defined(MBEDTLS_SSL_DTLS_CONNECTION_ID)
    move(&ssl->in_cid, from, to);
#endif
    move(&ssl->in_len, from, to);
    move(&ssl->in_iv, from, to);
    move(&ssl->in_msg, from, to);
    ssl->in_buf = buffer;
}

static void move_out(mbedtls_ssl_context *ssl, unsigned char *buffer)
{
    uintptr_t from = (uintptr_t)ssl->out_buf, to = (uintptr_t)buffer;
    move(&ssl->out_ctr, from, to);
    move(&ssl->out_hdr, from, to);
#if defined(MBEDTLS_SSL_DTLS_CONNECTION_ID)
    move(&ssl->out_cid, from, to);
#endif
    move(&ssl->out_len, from, to);
    move(&ssl->out_iv, from, to);
    move(&ssl->out_msg, from, to);
    ssl->out_buf = buffer;
}

static bool is_idle(const mbedtls_ssl_context *ssl)
{
    return ssl->state == MBEDTLS_SSL_HANDSHAKE_OVER && !ssl->handshake && !ssl->in_offt &&
           ssl->in_left == 0 && ssl->in_hslen == 0 && ssl->out_left == 0 &&
           !ssl->keep_current_message;
}

/* The library forgets the last message of a handshake when it reads the next record. */
static void forget_message(mbedtls_ssl_context *ssl)
{
    if (ssl->in_hslen != 0 && ssl->in_hslen == ssl->in_msglen) {
        ssl->in_hslen = 0;
        ssl->in_msglen = 0;
    }
}

void mg_tls_shelf_take(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl,
                       struct mg_tls_shelved *out)
{
    if (out->on || !ssl->in_buf || !ssl->out_buf)
        return;
    forget_message(ssl);
    if (!is_idle(ssl))
        return;
    memcpy(out->sequence, ssl->in_ctr, sizeof out->sequence);
    unsigned char *in = ssl->in_buf, *outgoing = ssl->out_buf;
    move_in(ssl, NULL);
    move_out(ssl, NULL);
    mg_pool_put(&shelf->buffers, in);
    mg_pool_put(&shelf->buffers, outgoing);
    out->on = true;
}

void mg_tls_shelf_return(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl,
                         struct mg_tls_shelved *shelved)
{
    if (!shelved->on)
        return;
    move_in(ssl, mg_pool_get(&shelf->buffers));
    move_out(ssl, mg_pool_get(&shelf->buffers));
    memcpy(ssl->in_ctr, shelved->sequence, sizeof shelved->sequence);
    shelved->on = false;
}

/* As the library's calloc gives it. */
static unsigned char *get_clean(struct mg_tls_shelf *shelf)
{
    return memset(mg_pool_get(&shelf->buffers), 0, BUFFER_BYTES);
}

void mg_tls_shelf_adopt(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl)
{
    unsigned char *in = ssl->in_buf, *outgoing = ssl->out_buf;
    move_in(ssl, get_clean(shelf));
    move_out(ssl, get_clean(shelf));
    mbedtls_free(in);
    mbedtls_free(outgoing);
}

void mg_tls_shelf_strip(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl)
{
    if (!ssl->in_buf || !ssl->out_buf)
        return;
    mg_pool_put(&shelf->buffers, ssl->in_buf);
    mg_pool_put(&shelf->buffers, ssl->out_buf);
    ssl->in_buf = NULL;
    ssl->out_buf = NULL;
}

#else

void mg_tls_shelf_take(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl,
                       struct mg_tls_shelved *out)
{
    (void)shelf, (void)ssl, (void)out;
}

void mg_tls_shelf_return(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl,
                         struct mg_tls_shelved *shelved)
{
    (void)shelf, (void)ssl, (void)shelved;
}

void mg_tls_shelf_adopt(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl)
{
    (void)shelf, (void)ssl;
}

void mg_tls_shelf_strip(struct mg_tls_shelf *shelf, mbedtls_ssl_context *ssl)
{
    (void)shelf, (void)ssl;
}

#endif
