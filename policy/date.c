/* Days; see policy_date in policy.h. */
#include "policy/policy.h"

/* Days of the Gregorian calendar since 1970 to year, month and day: counted in years that begin in
 * March, so that the day that may be missing is the last one. */
uint32_t policy_date(int64_t seconds)
{
	int64_t days = seconds / 86400, era, of_era, year, of_year, month;

	if (seconds < INT64_C(946684800) || seconds > INT64_C(253402300799))
		return 0;
	days += 719468; /* since 0000-03-01 */
	era = days / 146097; /* of 400 years */
	of_era = days % 146097;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153; /* 0: March */
	days = of_year - (153 * month + 2) / 5 + 1;
	year += era * 400 + (month >= 10);
	month += month < 10 ? 3 : -9;
	return (uint32_t)(year * 10000 + month * 100 + days);
}
