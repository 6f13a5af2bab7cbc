-- The lint's own test: what each rule must find (the line, and a part of the text) and must leave alone.

local check = require("rules").new("/somewhere/deep/checkout")

local cases = {
  -- layers
  { "src/http/a.c", '#include "base/str.h"\n#include "http/a.h"\n#include "net/loop.h"\n' },
  { "src/http/a.c", '#include "base/str.h"\n#include "gateway/x.h"\n', 2, "row 5" },
  { "src/http/a.h", '#include "tls/x.h"\n', 1, "beside it" },
  { "src/net/a.c", '#include "shared/x.h"\n', 1, "beside it" },
  { "src/net/a.c", '# include "loop.h"\n', 1, 'write "net/loop.h"' },
  { "src/net/a.c", '#include "other/loop.h"\n', 1, "no known layer" },
  { "src/other/a.c", "", 1, "in no layer" },
  { "src/app/main.c", '#include "script/state.h"\n#include "tls/x.h"\n#include <stdio.h>\n' },
  -- homes
  { "src/net/loop.c", "#include <event2/event.h>\n" },
  { "src/net/loop.c", "#include <event2/bufferevent.h>\n", 1, "raw events" },
  { "src/gateway/a.c", "#include <event2/event.h>\n", 1, "src/net/" },
  { "src/net/resolver.c", "#include <ares.h>\n" },
  { "src/net/resolver.h", "#include <ares.h>\n", 1, "src/net/resolver.c" },
  { "src/http/h2_conn.c", "#include <nghttp2/nghttp2.h>\n" },
  { "src/http/h1_parse.c", "#include <nghttp2/nghttp2.h>\n", 1, "src/http/h2_" },
  { "src/gateway/a.c", "#include <lua.h>\n", 1, "src/script/" },
  { "src/base/regex.c", "#define PCRE2_CODE_UNIT_WIDTH 8\n#include <pcre2.h>\n" },
  { "src/base/a.c", "#include <cmocka.h>\n", 1, "tests/unit" },
  { "tests/unit/base/a_test.c", "#include <cmocka.h>\n#include <lua.h>\n" },
  -- banned functions
  { "src/base/a.c", "int x;\n\nstrcpy(a, b);\n", 3, "strcpy()" },
  { "src/base/a.c", "x = 1 + atoi (b);\n", 1, "atoi()" },
  { "src/base/a.c", "if (!strcmp(a, b) && system(x))\n", 1, "system()" },
  { "src/base/a.c", "f(sprintf(a, b));\n", 1, "sprintf()" },
  { "src/base/a.c", "mg_strcpy(a); snprintf(b); ops->sleep(1); ops.system(2); strtok_r(c); gmtime_r(d);\n" },
  { "src/base/a.c", "/* strcpy(a, b) */ // atoi(x)\nchar *s = \"rand() \\\" gets()\";\n" },
  { "src/base/a.c", "char c = '\"'; int d = 4 / 2; char e = '\"';\n" },
  { "src/base/a.c", "/* one\n two */ x = '\\'';\nrand();\n", 3, "rand()" },
  { "src/base/a.c", "sleep(1); /* lint: allow sleep, this thread has nothing else to do */\n" },
  { "src/base/a.c", "sleep(1); /* lint: allow system */\n", 1, "sleep()" },
  { "tests/unit/net/a_test.c", "usleep(10);\n", 1, "blocks" },
  { "tests/e2e/a_spec.lua", "local x\nsocket.sleep(1)\n", 2, "sleeps" },
  { "tests/spec/a_spec.lua", "mg.sleep(60)\n" },
  -- words and places
  { "src/base/a.c", "int x; // TODO: more\n", 1, "TODO" },
  { "lua/moongate/a.lua", "-- FIXME\n", 1, "FIXME" },
  { "src/base/a.c", 'char t[] = "moongate-XXXXXX"; int TODOS;\n' },
  { "policies/a/README.md", "see /somewhere/deep/checkout/src\n", 1, "one machine" },
  { "lua/moongate/a.lua", 'open("/home/ann/x")\n', 1, "one machine" },
  { "tests/spec/a_spec.lua", 't:request "/users/home/1"\n' },
}

local wrong = 0
for _, case in ipairs(cases) do
  local path, text, line, part = table.unpack(case)
  local findings = check(path, text)
  local first = findings[1]
  local good
  if line then
    good = #findings == 1 and first.line == line and first.text:find(part, 1, true)
  else
    good = #findings == 0
  end
  if not good then
    wrong = wrong + 1
    print(("tests/lint/rules_test.lua: %s: %q: expected %s, got %s"):format(path, text,
      line and line .. ": " .. part or "nothing", first and first.line .. ": " .. first.text or "nothing"))
  end
end
return wrong
