/* mg.url: templates, pieces of URLs, queries. */
#include "script/lua_test.h"

static void test_templates(void **state)
{
    (void)state;
    static const char *const code[] = {
        "url = mg.url",
        "gives('/products/7', url('/products/{id}', {id = 7}))",
        "gives('/products/a%2Fb%20%3F%23%25', url('/products/{id}', {id = 'a/b ?#%'}))",
        "gives('/a/x-y.json', url('/a/{b}-{c}.json', {b = 'x', c = 'y'}))",
        "gives('/files/a/b%20c', url('/files/{rest+}', {rest = 'a/b c'}))",
        "gives('/files/a%2Fb%25/', url('/files/{rest+}', {rest = 'a%2Fb%25/'}))",
        "gives('/files/%252e', url('/files/{rest+}', {rest = '%2e'}))",
        "gives('/files/', url('/files/{rest+}', {rest = ''}))",
        "gives('/x/a', url('/x{rest+}', {rest = '/a'}))",
        "gives('/s?q=a%2Fb%26c%3D%2B%20&n=', url('/s?q={q}&n={n}', {q = 'a/b&c=+ ', n = ''}))",
        "gives('/s?q=..', url('/s?q={q}', {q = '..'}))",
        "gives('https://a.example:1/x/%C3%BC', url('https://a.example:1/x/{id}', {id = "
        "'\\u{fc}'}))",
        "gives('/plain', url('/plain')) gives('/plain', url('/plain', nil))",
        "gives('/1.5', url('/{x}', {x = 1.5}))",
        "gives('/...', url('/{x}', {x = '...'})) gives('/a..b', url('/{x}', {x = 'a..b'}))",
        "gives('/meta', url('/{x}', setmetatable({}, {__index = function(_, k) return k == 'x' and "
        "'meta' end})))",
        /* more than the buffer begins with, from both sides */
        "local long = ('/x'):rep(2000)\n"
        "gives(long .. '/' .. ('%20'):rep(3000) .. long, url(long .. '/{a}' .. long, {a = (' '):rep"
        "(3000)}))",
        "local deep = setmetatable({}, {__index = function(_, k) return url('/{v}', {v = k}) "
        "end})\n"
        "gives('/%2Fa/%2Fb', url('/{a}/{b}', deep))",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_template_refusals(void **state)
{
    (void)state;
    static const char *const code[] = {
        "url = mg.url",
        "raises(\"mg.url: '/a/{id}': {id} has no value\", url, '/a/{id}', {})",
        "raises('{id} has no value', url, '/a/{id}')",
        "raises('{id} is empty', url, '/a/{id}', {id = ''})",
        "raises('{id} is neither a string nor a number', url, '/a/{id}', {id = true})",
        "for _, v in ipairs{'.', '..'} do\n"
        "  raises('{id} is a dot segment', url, '/a/{id}', {id = v})\n"
        "  raises('{r+} holds a dot segment', url, '/a/{r+}', {r = 'x/' .. v})\n"
        "  raises('{r+} holds a dot segment', url, '/a/{r+}', {r = v .. '/x'})\n"
        "end",
        "raises('{r+} holds an empty segment', url, '/{r+}', {r = '/evil.example'})",
        "raises('{r+} holds an empty segment', url, '/{r+}', {r = 'a//b'})",
        "raises('{b+} holds an empty segment', url, '/{a+}{b+}', {a = 'x/', b = '/y'})",
        "raises('holds a NUL', url, '/{a}', {a = 'x\\0'})",
        "raises('holds a NUL', url, '/{a+}', {a = 'x\\0'})",
        "raises('{h} stands in the host', url, 'http://{h}/x', {h = 'evil'})",
        "raises('{h} stands in the host', url, '//{h}/x', {h = 'evil'})",
        "raises('{p} stands in the host', url, 'https://a.example:{p}', {p = 1})",
        "raises('begins with neither', url, '{h}/x', {h = 'http:'})",
        "raises('begins with neither', url, 'ftp://a/{h}', {h = 'x'})",
        "raises(\"unmatched '{'\", url, '/a{b', {b = 1})",
        "raises(\"unmatched '}'\", url, '/a}b', {})",
        "raises('{} has no name', url, '/{}', {}) raises('{+} has no name', url, '/{+}', {})",
        "raises('holds a NUL', url, '/a\\0b', {})",
        "raises('table expected, got string', url, '/', 'x')",
        "raises('string expected, got table', url, {}, {})",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_pieces(void **state)
{
    (void)state;
    static const char *const code[] = {
        "url = mg.url",
        "gives('a-b._~%2F%3A%20%00', url.encode('a-b._~/: \\0')) gives('', url.encode(''))",
        "gives('a b/\\0+', url.decode('a%20b%2f%00+')) gives('plain', url.decode('plain'))",
        "fails(\"text has '%' without two hex digits\", url.decode('%2'))",
        "for i = 0, 255 do local c = string.char(i) gives(c, url.decode(url.encode(c))) end",
        "gives(('x '):rep(5000), url.decode(url.encode(('x '):rep(5000))))",
        "local u = url.parse('https://a.example/x?y=1')\n"
        "assert(u.scheme == 'https' and u.host == 'a.example' and u.port == 443 and u.path == "
        "'/x'\n"
        "  and u.query == 'y=1')",
        "local u = url.parse('HTTP://[::1]:8080')\n"
        "assert(u.scheme == 'http' and u.host == '::1' and u.port == 8080 and u.path == '/' and\n"
        "  u.query == nil)",
        "fails('URL does not begin with http:// or https://', url.parse('/x'))",
        "fails('URL has a user part', url.parse('http://a@b/'))",
        "fails('URL has a bad host', url.parse('http:///x'))",
        "code('bad_url', url.parse('/x')) code('bad_escape', url.decode('%'))",
        "code('bad_query', url.parse_query('%'))",
        "raises('string expected', url.parse)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_queries(void **state)
{
    (void)state;
    static const char *const code[] = {
        "url = mg.url",
        "gives('', url.query{})",
        "gives('a=1&b=x%20y&c=true&d=1.5', url.query{d = 1.5, c = true, b = 'x y', a = 1})",
        "gives('a=1&a=2&b=', url.query{b = '', a = {1, '2'}, c = {}})",
        "gives('%26=%3D', url.query{['&'] = '='})",
        "local t, want = {}, {}\n"
        "for i = 1, 1000 do t[('%04d'):format(i)] = i want[i] = ('%04d=%d'):format(i, i) end\n"
        "gives(table.concat(want, '&'), url.query(t))\n"
        "t.x = 1 raises('more than 1000', url.query, t)",
        "raises('names are strings, got number', url.query, {'x'})",
        "raises(\"'a': expected string, number, boolean or a list, got function\", url.query, {a = "
        "print})",
        "raises(\"'a': expected string, number, boolean or a list, got table\", url.query, {a = "
        "{{}}})",
        "local q = url.parse_query('a=1&b=x+y%26&a=2&c&&d=')\n"
        "assert(q.a == '1' and q.b == 'x y&' and q.c == '' and q.d == '' and q[''] == nil)",
        "local q = url.parse_query('a=1&b=2&a=3&a=', true)\n"
        "assert(#q.a == 3 and q.a[1] == '1' and q.a[2] == '3' and q.a[3] == '' and #q.b == 1)",
        "assert(next(url.parse_query('')) == nil)",
        "fails(\"query has '%' without two hex digits\", url.parse_query('a=%'))",
        "fails(\"query has '%' without two hex digits\", url.parse_query('%x=1'))",
        "assert(url.parse_query(('a&'):rep(1000)))",
        "fails('query has more than 1000 fields', url.parse_query(('a&'):rep(1001)))",
        "local q = url.parse_query(url.query{x = '\\0/+&=%', ['k k'] = 'v'})\n"
        "assert(q.x == '\\0/+&=%' and q['k k'] == 'v')",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(
        NULL, "local long = ('x '):rep(3000)\n"
              "mg.url('/{a}/{b+}?c={c}', {a = long, b = 'x/y', c = long})\n"
              "mg.url.decode(mg.url.encode(long)) mg.url.decode('%') mg.url.parse('http://x/?y')\n"
              "mg.url.parse_query(mg.url.query{a = long, b = {1, 2}, c = true}, true)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates), cmocka_unit_test(test_template_refusals),
        cmocka_unit_test(test_pieces),    cmocka_unit_test(test_queries),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
