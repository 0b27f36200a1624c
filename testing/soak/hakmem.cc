#include "testing/soak/round.h"

namespace hakmem::soak {

const op_stream::Allocator& AllocatorUnderTest() { return op_stream::HakAllocator(); }

}  // namespace hakmem::soak
