-- Header fields that the gateway writes itself: what belongs to the connection (RFC 9110 7.6.1), and the body's length.
-- By names in lower case.

return {
  connection = true, ["content-length"] = true, ["http2-settings"] = true, ["keep-alive"] = true,
  ["proxy-connection"] = true, te = true, ["transfer-encoding"] = true, upgrade = true,
}
