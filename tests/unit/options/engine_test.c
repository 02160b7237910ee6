/* SPDX-License-Identifier: Apache-2.0
 * Values of --engine, --jit and --cpu. */
#include "harness/harness.h"

#include <errno.h>
#include <string.h>

#include "options/engine.h"

TEST(engine, jit_lists_are_read_up_to_the_features)
{
    struct engine_options options;
    struct error err = {0};

    engine_options_init(&options);
    CHECK_EQ(engine_parse_jit("no-chain,unit=8,cache=2M,cpu=-bmi2,-avx", &options, &err), 0);
    CHECK(options.translator.no_chaining && !options.translator.no_inline);
    CHECK_EQ(options.translator.unit_limit, 8);
    CHECK_EQ(options.translator.cache_bytes, 2 * MIB);
    CHECK(!options.translator.features.bmi2 && !options.translator.features.avx);
    CHECK_EQ(engine_parse_jit("unit=0", &options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--jit 'unit=0'"));
}

TEST(engine, isa_strings_get_what_every_machine_has)
{
    struct extension_set set = extension_set_all();
    struct error err = {0};

    CHECK_EQ(engine_parse_cpu("rv64i,+m", &set, &err), 0);
    CHECK(extension_set_has(&set, EXT_Zicsr) && extension_set_has(&set, EXT_Zicntr));
    CHECK(extension_set_has(&set, EXT_M) && !extension_set_has(&set, EXT_C));
    CHECK_EQ(engine_parse_cpu("", &set, &err), 0);
    CHECK(!extension_set_has(&set, EXT_C));
    CHECK_EQ(engine_parse_cpu("max,-c", &set, &err), 0);
    CHECK(extension_set_has(&set, EXT_D) && !extension_set_has(&set, EXT_C));
    CHECK_EQ(engine_parse_cpu("rv64i,+nonsense", &set, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--cpu 'rv64i,+nonsense'"));
}

TEST(engine, the_interpreter_is_always_there)
{
    struct engine_options options;
    struct error err = {0};

    engine_options_init(&options);
    CHECK_EQ(engine_parse("interp", &options, &err), 0);
    CHECK(!options.translate);
    options.translator.features = (struct cpu_features){0};
    CHECK_EQ(engine_parse("auto", &options, &err), 0);
    CHECK_EQ(options.translate, translator_is_supported(&options.translator.features));
    CHECK_EQ(engine_parse("fast", &options, &err), -EINVAL);
    CHECK(!options.translate || translator_is_supported(&options.translator.features));
}

TEST_MAIN(TESTS(engine, jit_lists_are_read_up_to_the_features),
          TESTS(engine, isa_strings_get_what_every_machine_has),
          TESTS(engine, the_interpreter_is_always_there))
