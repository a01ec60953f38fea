/* Prints what the header and the library say their version is; tests/steps/version.sh compares with the rest.
 */
#include <cyborg_kms.h>
#include <stdio.h>

int main(void) {
    printf("header %s\n", CYBORG_KMS_VERSION);
    printf("parts %d.%d.%d\n", CYBORG_KMS_VERSION_MAJOR, CYBORG_KMS_VERSION_MINOR, CYBORG_KMS_VERSION_PATCH);
    printf("library %s\n", cyborg_kms_version());
    printf("abi %u\n", cyborg_kms_abi_version());
    return 0;
}
