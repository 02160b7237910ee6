/* SPDX-License-Identifier: Apache-2.0
 * Capabilities and files of a machine's processes. */
#include "sandbox/sandbox.h"

#include "base/bits.h"
#include "host/rights.h"

#include <linux/capability.h>
#include <unistd.h>

/* Files of other users. */
#define FILE_RIGHTS ((uint32_t)(BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER)))

int sandbox_drop_capabilities(const struct sandbox_config *config, struct error *err)
{
    uint32_t kept = config->serves_files && geteuid() == 0 ? FILE_RIGHTS : 0;

    if (config->keeps_network)
        kept |= (uint32_t)BIT(CAP_NET_BIND_SERVICE);
    return rights_drop_capabilities(kept, err);
}

static int add_rules(const struct file_rules *rules, const struct sandbox_config *config,
                     struct error *err)
{
    int result = 0;

    /* A share is no place to execute files in. */
    for (unsigned i = 0; i < config->shared_count && result == 0; i++)
        result = file_rules_allow(
            rules, config->shared[i],
            config->shared_read_only[i] ? RIGHT_READ : RIGHT_TO_CHANGE & ~(unsigned)RIGHT_EXECUTE,
            err);
    for (unsigned i = 0; i < config->readable_count && result == 0; i++)
        result = file_rules_allow(rules, config->readable[i], RIGHT_READ_FILE, err);
    return result;
}

int sandbox_restrict_files(const struct sandbox_config *config, int *version, struct error *err)
{
    struct file_rules rules;
    int result = file_rules_begin(&rules, !config->keeps_network, err);

    *version = rules.version;
    if (result == 0)
        result = add_rules(&rules, config, err);
    if (result == 0)
        return file_rules_enforce(&rules, err);
    file_rules_drop(&rules);
    return result;
}
