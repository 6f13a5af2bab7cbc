/* JSON, member by member. */
#include "base/json_out.h"

#include "base/json.h"

void mg_json_out_name(struct mg_buf *out, const char *name)
{
    char last = out->n ? out->p[out->n - 1] : '{';
    if (last != '{' && last != '[' && last != ':')
        mg_buf_add_char(out, ',');
    if (name)
        mg_buf_printf(out, "\"%s\":", name);
}

void mg_json_out_text(struct mg_buf *out, const char *name, struct mg_str text)
{
    mg_json_out_name(out, name);
    size_t before = out->n;
    if (mg_json_write_string(out, text))
        return;
    out->n = before;
    mg_buf_add_c(out, "\"?\"");
}

void mg_json_out_text_or_null(struct mg_buf *out, const char *name, struct mg_str text)
{
    if (text.n)
        mg_json_out_text(out, name, text);
    else
        mg_json_out_null(out, name);
}

void mg_json_out_integer(struct mg_buf *out, const char *name, uint64_t v)
{
    mg_json_out_name(out, name);
    mg_buf_printf(out, "%llu", (unsigned long long)v);
}

void mg_json_out_flag(struct mg_buf *out, const char *name, bool v)
{
    mg_json_out_name(out, name);
    mg_buf_add_c(out, v ? "true" : "false");
}

void mg_json_out_null(struct mg_buf *out, const char *name)
{
    mg_json_out_name(out, name);
    mg_buf_add_c(out, "null");
}

void mg_json_out_ms(struct mg_buf *out, const char *name, uint64_t ns)
{
    mg_json_out_name(out, name);
    mg_buf_printf(out, "%.3f", (double)ns / 1e6);
}

void mg_json_out_begin(struct mg_buf *out, const char *name, char bracket)
{
    mg_json_out_name(out, name);
    mg_buf_add_char(out, bracket);
}
