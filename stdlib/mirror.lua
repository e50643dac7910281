-- Copies of requests for another service.

local core = ...

policy "mirror" {
  doc = "Sends a copy of each request, or of a share of them, to another service as well; its answers are dropped. The client notices nothing: copies run beside the request, and what does not fit (too many under way, too large a body, a body that broke off) is not copied. moongate_mirrored_requests_total counts what became of them.",
  options = {
    to = is.string { min = 1, doc = "an upstream or a URL; the path of the request is put behind it" },
    share = is.number { min = 0, max = 1, default = 1, doc = "which share of the requests, 0 to 1" },
    limit = is.int { min = 1, default = 100, doc = "copies under way at a time, on each worker" },
    max_body = is.size { default = "64KB", doc = "larger bodies are not copied" },
    timeout = is.duration { default = "10s", doc = "how long a copy may take" },
  },
  waits = false,
  step = core.mirror,
}
