-- Asks for the targets of a file, in turn, from the start: wrk … -s save.lua -- FILE
local targets, at = {}, 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        targets[#targets + 1] = wrk.format("GET", line)
    end
end

function request()
    at = at % #targets + 1
    return targets[at]
end
