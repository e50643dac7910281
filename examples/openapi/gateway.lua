-- The document makes the routes: one for each operation, named by its operationId.

local function key(req)
  if req.headers["x-key"] ~= "rabbit" then reject(401, "which key?") end
end

group "/v1" {
  openapi "petstore.yaml" {
    security = { key = key },
    response = "log",
    to = "echo:",
    operations = {
      listPets = { mock { json = { { id = 1, name = "Rex", tag = "dog" } } } },
      addPet = { function(req) req.headers["x-checked"] = "yes" end },
    },
  },
}

-- The same document for those who build against it before the service is there.
group "/mock" {
  openapi "petstore.yaml" { security = false, mock = true, operations = {
    listPets = { name = "mock list" }, addPet = { name = "mock add" }, getPet = { name = "mock get" },
  } },
}
