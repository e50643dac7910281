-- Changes a request on its way to the service.

local core = ...

policy "transform_request" {
  doc = "Edits a request before it is sent on: fields (remove, rename, set, default, add), query, method, JSON, body.",
  options = core.shared {
    query = is.either {
      is.object {
        remove = is.array { items = is.string, optional = true, doc = "these parameters go" },
        rename = is.map { items = is.string, optional = true, doc = "these get another name" },
        set = is.map { items = is.template, optional = true, doc = "these get one value" },
        default = is.map { items = is.template, optional = true, doc = "these get a value where they have none" },
        add = is.map { items = is.template, optional = true, doc = "these pairs are added" },
      },
      optional = true,
      doc = "edits of the query",
    },
    method = is.string { optional = true, pattern = "^[A-Z]+$", doc = "another method" },
  },
  step = function(o)
    local edit_fields = core.edits(o)
    local edit_query = o.query and core.query(o.query)
    local edit_json = o.json and core.json_edit(o.json)
    local make_body = o.body ~= nil and core.body(o.body)
    local reads = core.reads(o, "json")

    return function(req)
      if reads then req:text() end
      if edit_fields then edit_fields(req) end
      if edit_query then edit_query(req) end
      if o.method then req.method = o.method end
      if edit_json and core.is_json(req.type) then
        local text, fault = edit_json(req:text(), req)
        if not text then core.fail("body.bad_json", fault) end
        req:set_body(text)
      end
      if make_body then return make_body(req, req) end
    end
  end,
}
