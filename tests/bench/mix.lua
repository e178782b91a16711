-- A script for wrk: asks for the targets that are its arguments, in turn.
local requests = {}
local at = 0

function init(targets)
    for i, target in ipairs(targets) do
        requests[i] = wrk.format("GET", target)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
