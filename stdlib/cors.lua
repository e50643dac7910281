-- Cross-origin requests. What it returns is data: preflights are answered before every step, and every answer of the
-- route says who may read it, whichever step or service made it.

local core = ...

local names = { items = is.string }

policy "cors" {
  doc = "Lets scripts of other origins call the routes it stands over: preflights are answered before every step (204), its fields are on every answer, errors too, in place of the service's own. The innermost one that is not skipped is in force. A page of any other origin gets the answer without the fields, and its browser keeps it from reading.",
  options = {
    [1] = is.any { optional = true, doc = "\"*\" or an origin; several are a list" },
    origins = is.any {
      optional = true,
      doc = "\"https://a.dev\", \"https://*.a.dev\", regex \"…\" (anchored), \"null\", or a list of them",
    },
    methods = is.either {
      is.string,
      is.array(names),
      optional = true,
      doc = "what a preflight allows; the method it asks for when absent",
    },
    headers = is.either {
      is.string,
      is.array(names),
      optional = true,
      doc = "request fields that a preflight allows; those it asks for when absent",
    },
    expose = is.either {
      is.string,
      is.array(names),
      optional = true,
      doc = "fields of the answer that scripts may read",
    },
    credentials = is.bool { default = false, doc = "cookies and credentials may come along; not with \"*\"" },
    max_age = is.duration { default = "10m", doc = "how long a browser may remember a preflight" },
    private_network = is.bool { default = false, doc = "public pages may reach into this private network" },
  },
  step = core.cors,
}
