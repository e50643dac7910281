-- A folder of files.

local core = ...

policy "static" {
  doc = "Answers GET and HEAD with files of a folder, streamed: conditional requests, single ranges (several are answered with the whole file), folders by their index. The tail of the route's pattern is the path below the folder; without one, the whole path is. Nothing outside the folder is served, whatever links lead there, and no name that begins with a dot but .well-known. Where there is no such file: 404, or the next step.",
  options = {
    [1] = is.string { min = 1, doc = "the folder, beside gateway.lua or anywhere" },
    index = is.array { items = is.string, default = { "index.html" }, doc = "what is served of a folder" },
    fallback = is.string { optional = true, doc = "a file of the folder, served where there is none (single-page apps)" },
    missing = is.enum { "404", "pass", default = "404", doc = "pass: where there is no file the next step answers" },
    precompressed = is.bool { default = false, doc = "serve a.js.br, a.js.zst or a.js.gz to those who take them" },
    cache_control = is.string { optional = true, doc = "Cache-Control of the files" },
    hidden = is.bool { default = false, doc = "serve names that begin with a dot" },
  },
  step = function(o)
    local serve = core.static(o)
    return function(req) return serve(req) end
  end,
}
