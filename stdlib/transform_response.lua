-- Changes an answer on its way to the client.

local core = ...

policy "transform_response" {
  doc = "Edits an answer: fields (remove, rename, set, default, add), status, JSON, body; `on` adds edits for some statuses.",
  options = core.shared {
    status = is.status { optional = true, doc = "another status" },
    on = is.map {
      items = is.object(core.shared { status = is.status { optional = true, doc = "another status" } }),
      optional = true,
      doc = "edits by status: [404] = { … }, [\"5xx\"] = { … }",
    },
  },
  step = function(o)
    local function compile(edits)
      return {
        fields = core.edits(edits),
        json = edits.json and core.json_edit(edits.json),
        body = edits.body ~= nil and core.body(edits.body),
        reads = core.reads(edits, "json"),
        reads_answer = core.reads(edits, "response.json"),
        status = edits.status,
      }
    end

    local always, by_status = compile(o), {}
    local touches = always.json or always.body
    for status, edits in o.on or {} do
      local key, made = core.status_key(status), compile(edits)
      by_status[key] = made
      touches = touches or made.json or made.body
    end
    local choosy = next(by_status) ~= nil

    local function apply(edits, req, res, fixed)
      if edits.reads then req:text() end
      if edits.reads_answer then res:text() end
      if edits.fields then edits.fields(req, res) end
      if edits.json and not fixed and core.is_json(res.headers["content-type"]) then
        local text, fault = edits.json(res:text(), req, res)
        if not text then core.fail("upstream.protocol", fault) end
        res:set_body(text)
      end
      local answer
      if edits.body and not fixed then answer = edits.body(req, res) end
      if edits.status then res.status = edits.status end
      return answer
    end

    return function(req, next)
      local res = next()
      local status = res.status
      -- RFC 9110 §7.7: what carries no-transform keeps its content.
      local fixed = touches
        and string.find(string.lower(res.headers["cache-control"] or ""), "no-transform", 1, true) ~= nil
      local answer = apply(always, req, res, fixed)
      if not choosy then return answer end
      for _, key in { tostring(status), `{status // 100}xx` } do
        local edits = by_status[key]
        if edits then answer = apply(edits, req, res, fixed) or answer end
      end
      return answer
    end
  end,
}
