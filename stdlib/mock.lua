-- Answers here, without a service.

local core = ...

policy "mock" {
  doc = "Answers at once with what is written: for first tries, fixed answers and services that do not exist yet.",
  options = {
    status = is.status { default = 200, doc = "the status" },
    json = is.any { optional = true, doc = "the body, sent as JSON" },
    text = is.string { optional = true, doc = "the body, as plain text" },
    html = is.string { optional = true, doc = "the body, as HTML" },
    file = is.string { optional = true, doc = "a file beside gateway.lua, read when it is loaded" },
    headers = is.map { items = is.template { place = "header" }, optional = true, doc = "further fields" },
    delay = is.duration { optional = true, doc = "how long it waits before it answers" },
  },
  step = function(o)
    local bodies = 0
    for _, name in { "json", "text", "html", "file" } do
      if o[name] ~= nil then bodies += 1 end
    end
    if bodies > 1 then error("write one of json, text, html and file", 0) end

    local body, media
    if o.json ~= nil then
      body, media = json.encode(o.json), "application/json"
    elseif o.text then
      body, media = o.text, "text/plain; charset=utf-8"
    elseif o.html then
      body, media = o.html, "text/html; charset=utf-8"
    elseif o.file then
      body, media = file(o.file), core.media(o.file)
    end

    local fields = {}
    for name, value in o.headers or {} do
      fields[name] = core.template(value, "header")
    end

    return function(req)
      if o.delay then sleep(o.delay) end
      local headers = {}
      if media then headers["content-type"] = media end
      for name, value in fields do headers[name] = value(req) end
      return { status = o.status, headers = headers, body = body }
    end
  end,
}
