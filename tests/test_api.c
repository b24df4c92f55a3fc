/* test_api.c - lacuna.h is C11, and what needs no device can be called from C.
 *
 * SPDX-License-Identifier: Apache-2.0
 * ctest: label=cpu timeout=60 */
#include <lacuna/lacuna.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;
static char last_sentence[512];

static void check(int ok, const char* what)
{
    if (!ok)
    {
        ++failures;
        printf("FAILED: %s (last sentence: %s)\n", what, last_sentence);
    }
}

static void onMessage(void* user, LacunaResult result, const char* sentence)
{
    (void)user;
    (void)result;
    snprintf(last_sentence, sizeof last_sentence, "%s", sentence);
}

static void testTexts(void)
{
    size_t size = 0;
    check(lacunaGetVersion() == LACUNA_VERSION, "header and library agree");
    check(strcmp(lacunaGetResultName(LACUNA_ERROR_DEVICE), "LACUNA_ERROR_DEVICE") == 0, "result name");
    check(lacunaGetResultName((LacunaResult)77) != NULL, "name of an unknown result");
    check(lacunaDescribeMethods(&size, NULL) == LACUNA_SUCCESS && size > 2, "size of the registry");

    char* text = malloc(size);
    size_t small = 5;
    check(lacunaDescribeMethods(&small, text) == LACUNA_INCOMPLETE, "too small a text is INCOMPLETE");
    check(strlen(text) == 4 && small == size, "what fits is written, and the size needed");
    check(lacunaDescribeMethods(&size, text) == LACUNA_SUCCESS, "the registry");
    check(strlen(text) + 1 == size && text[0] == '[', "the registry is an array");
    check(strstr(text, "\"sliding_tile\"") != NULL, "the registry knows sliding_tile");
    free(text);
}

/* A table of one row for each token goes into another order, and back. */
static void testOrder(void)
{
    const LacunaVideoGrid grid = {2, 1, 3, 1, 0};
    const uint32_t expected[7] = {0, 1, 4, 2, 5, 3, 6};
    uint32_t order[7], inverse[7];
    check(lacunaGetTokenOrder("hwt", &grid, NULL, order, inverse, onMessage, NULL) == LACUNA_SUCCESS, "an order");
    check(memcmp(order, expected, sizeof order) == 0, "the frames of a pixel side by side");
    for (uint32_t i = 0; i < 7; ++i)
        check(inverse[order[i]] == i, "the inverse");
    check(lacunaGetTokenOrder("tile", &grid, NULL, order, NULL, onMessage, NULL) == LACUNA_ERROR_INVALID_ARGUMENT,
          "no box");
    check(strstr(last_sentence, "box is NULL") != NULL, "the sentence names it");
}

/* Two equal keys: the output is the mean of the values, the LSE is logit + ln 2. */
static void testReference(void)
{
    const float q[8] = {1}, k[16] = {2, 0, 0, 0, 0, 0, 0, 0, 2}, v[16] = {1, 0, 0, 0, 0, 0, 0, 0, 3};
    double out[8], lse[1];
    uint8_t mask[2] = {9, 9};
    LacunaPlanDesc desc;
    memset(&desc, 0, sizeof desc);
    desc.method = "dense";
    desc.batch = 1;
    desc.q_heads = 1;
    desc.q_len = 1;
    desc.k_len = 2;
    desc.head_dim = 8;
    desc.dtype = LACUNA_DTYPE_F32;
    desc.scale = 0.5f;
    check(lacunaReferenceMask(&desc, NULL, NULL, 0, 1, mask, onMessage, NULL) == LACUNA_SUCCESS, "mask");
    check(mask[0] == 1 && mask[1] == 1, "dense keeps all");
    check(lacunaReferenceAttention(&desc, q, k, v, 0, 1, mask, out, lse, onMessage, NULL) == LACUNA_SUCCESS,
          "attention");
    check(fabs(out[0] - 2) < 1e-12 && fabs(lse[0] - 1 - log(2.0)) < 1e-7, "its numbers");

    memset(mask, 0, sizeof mask);
    check(lacunaReferenceAttention(&desc, q, k, v, 0, 1, mask, out, lse, onMessage, NULL) == LACUNA_SUCCESS,
          "attention to nothing");
    check(out[0] == 0 && isinf(lse[0]) && lse[0] < 0, "is 0, with LSE -inf");

    desc.head_dim = 12;
    check(lacunaReferenceMask(&desc, NULL, NULL, 0, 1, mask, onMessage, NULL) == LACUNA_ERROR_INVALID_ARGUMENT,
          "head_dim 12");
    check(strstr(last_sentence, "head_dim is 12") != NULL, "the sentence names it");
}

/* Without a context there is nobody to tell; the code must come back all the same. */
static void testNulls(void)
{
    LacunaContext context = NULL;
    LacunaPlan plan = NULL;
    LacunaPlanInfo info;
    LacunaPassInfo pass;
    LacunaList list;
    size_t size = 0;
    check(lacunaCreateContext(NULL, &context) == LACUNA_ERROR_INVALID_ARGUMENT, "createContext(NULL)");
    check(lacunaCreatePlan(NULL, NULL, &plan) == LACUNA_ERROR_INVALID_ARGUMENT, "createPlan(NULL)");
    check(lacunaGetPlanInfo(NULL, &info) == LACUNA_ERROR_INVALID_ARGUMENT, "getPlanInfo(NULL)");
    check(lacunaGetPlanPass(NULL, 0, &pass) == LACUNA_ERROR_INVALID_ARGUMENT, "getPlanPass(NULL)");
    check(lacunaGetPlanList(NULL, &list) == LACUNA_ERROR_INVALID_ARGUMENT, "getPlanList(NULL)");
    check(lacunaExplainPlan(NULL, &size, NULL) == LACUNA_ERROR_INVALID_ARGUMENT, "explainPlan(NULL)");
    check(lacunaDescribeContext(NULL, &size, NULL) == LACUNA_ERROR_INVALID_ARGUMENT, "describeContext(NULL)");
    check(lacunaDescribeMethods(NULL, NULL) == LACUNA_ERROR_INVALID_ARGUMENT, "describeMethods(NULL)");
    check(lacunaWritePlanConstants(NULL, &info) == LACUNA_ERROR_INVALID_ARGUMENT, "writePlanConstants(NULL)");
    check(lacunaCmdAttention(NULL, NULL, NULL) == LACUNA_ERROR_INVALID_ARGUMENT, "cmdAttention(NULL)");
    check(lacunaCmdAttentionSlice(NULL, NULL, NULL, 0, 1) == LACUNA_ERROR_INVALID_ARGUMENT,
          "cmdAttentionSlice(NULL)");
    check(lacunaCmdSelect(NULL, NULL, NULL) == LACUNA_ERROR_INVALID_ARGUMENT, "cmdSelect(NULL)");
    lacunaDestroyPlan(NULL);
    lacunaDestroyContext(NULL);
}

int main(void)
{
    testTexts();
    testOrder();
    testReference();
    testNulls();
    printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
