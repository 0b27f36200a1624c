-- Little work for slow tools: strings of all lengths that replace each other, and tables that grow.
local kept, lengths = {}, 0
for i = 1, 60000 do
  kept[i % 3000] = ("x"):rep(i % 400) .. i
  if i % 7 == 0 then kept[i % 3000] = {kept[i % 3000], i} end
end
for _, value in pairs(kept) do lengths = lengths + (type(value) == "table" and #value or #value % 13) end
print("lengths " .. lengths)
