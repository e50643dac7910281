-- Answers take less room on their way.

local core = ...

policy "compress" {
  doc = "Compresses answers by what the client takes (zstd, br, gzip), last of all, as they stream: whenever the source pauses, what came so far is sent. Left alone are answers that are coded already, parts (206), no-transform, small ones and streams of messages (SSE, gRPC, NDJSON) unless their type is written out.",
  options = {
    types = is.array {
      items = is.string { pattern = "^[^/ ]+/[^/ ]+$" },
      default = {
        "text/*",
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/manifest+json",
        "*/*+json",
        "*/*+xml",
        "image/bmp",
        "font/ttf",
        "font/otf",
      },
      doc = "media types that are worth it",
    },
    min = is.size { default = "1KB", doc = "bodies known to be smaller are left alone" },
    codings = is.array {
      items = is.enum { "zstd", "br", "gzip" },
      min = 1,
      default = { "zstd", "br", "gzip" },
      doc = "codings on offer, the best first among equals",
    },
    levels = is.either {
      is.object {
        gzip = is.int { min = 1, max = 9, optional = true, doc = "5 when absent" },
        br = is.int { min = 0, max = 11, optional = true, doc = "4 when absent; above 5 too slow on the fly" },
        zstd = is.int { min = 1, max = 19, optional = true, doc = "3 when absent" },
      },
      optional = true,
      doc = "how hard each tries; 5, 4 and 3 when absent",
    },
  },
  waits = false,
  step = core.compress,
}
