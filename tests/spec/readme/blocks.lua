-- Fenced blocks of a Markdown text, and the notes by which they are tested. Pure.
--
-- A note is an HTML comment right above a block; readers of the rendered page do not see it.
--
--     <!-- test request: assert.status(t:request "/", 204) -->     how to run the block, and what to look at
--     <!-- test phases                                              the same with more lines
--     ...
--     -->
--     <!-- no test: the reason -->
--
-- blocks(text) gives a list of { line =, lang =, text =, note = { kind =, code =, line = } or { reason = } }; the lines
-- of a block are its items, too. `line` is the number of the first of them, or of the note's. What is no note raises.

local function read_note(text, line)
  local reason = text:match "^<!%-%- no test: (.-) %-%->$"
  if reason then return { reason = reason } end
  if not text:find "^<!%-%- test" then return nil end
  local kind, code = text:match "^<!%-%- test ?(%a*): (.-) %-%->$"
  if kind then return { kind = kind, code = code, line = line } end
  kind, code = text:match "^<!%-%- test ?(%a*)\n(.-)%-%->$"
  kind = kind or text:match "^<!%-%- test (%a+) %-%->$"
  if not kind then error(("line %d: this note cannot be read"):format(line), 0) end
  return { kind = kind, code = code or "", line = line + 1 }
end

return function(text)
  local blocks, number = {}, 0
  local note, comment, block, indent
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    if block and line:find "^%s*```%s*$" then
      block.text = table.concat(block, "\n")
      blocks[#blocks + 1] = block
      block, note = nil, nil
    elseif block then
      block[#block + 1] = line:sub(1, #indent) == indent and line:sub(#indent + 1) or line
    elseif comment or line:find "^<!%-%-" then
      comment = comment or { line = number }
      comment[#comment + 1] = line
      if line:find "%-%->$" then
        note = read_note(table.concat(comment, "\n"), comment.line)
        comment = nil
      end
    elseif line:find "^%s*```" then
      local lang
      indent, lang = line:match "^(%s*)```(%w*)"
      block = { lang = lang, line = number + 1, note = note }
    elseif line ~= "" then
      note = nil
    end
  end
  return blocks
end
