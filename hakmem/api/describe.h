// What hakmem knows of an address, for reports.
#ifndef HAKMEM_API_DESCRIBE_H_
#define HAKMEM_API_DESCRIBE_H_

#include "hakmem/diag/address_info.h"

namespace hakmem {

// See Describer. What other threads do meanwhile may make it out of date; nothing they do makes it fail.
void DescribeAddress(const void* p, AddressInfo* info);

}  // namespace hakmem

#endif  // HAKMEM_API_DESCRIBE_H_
