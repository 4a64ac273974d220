/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_script.h"
#include "ek_hook.h"

void ek_run_script(const ek_script *script, int32_t begin, int32_t end, uint8_t *const *bases) {
  for (int32_t i = begin; i < end; i++) {
    const ek_firings *firings = &script->firings[i];
    const ek_step *step = &script->steps[firings->step];
    const int32_t rows_end = firings->row + firings->count;
    EK_LAYER_HOOK(firings->step);
    for (int32_t row = firings->row; row < rows_end; row++) {
      step->run(step->detail, bases, row);
      EK_FIRED_HOOK(firings->step, row);
    }
  }
  EK_LAYER_HOOK(-1);
}
