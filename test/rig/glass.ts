/**
 * What went over the wires of an e-ink panel, put onto emulated glass: the emulators of test/emulators, which know nothing of
 * our driver. Only the order of things counts here. Inside the machine BUSY never rose, so the glass gets whatever time it
 * takes before it is spoken to again.
 */
import type { Frame } from '../../drivers/driver.js'
import type { EinkModel } from '../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../drivers/panel/ssd16xx.js'
import { emulated } from '../emulators/emulated.js'
import type { Wire } from './outside.js'

/** As both families want it: long enough to be seen, short enough that no board cuts the power. */
const RESET_MS = 2.5
const AFTER_RESET_MS = 20
const LOOK_MS = 10
const LOOKS_MAX = 2_000

export function modelNamed(name: string): EinkModel {
  const model = SSD16XX_MODELS.find((each) => each.name === name)
  if (model === undefined) throw new Error(`no panel ${name} of a family whose BUSY is low at rest`)
  return model
}

export async function pictureOn(model: EinkModel, wires: readonly Wire[]): Promise<Frame> {
  const { bus, clock, glass } = glassOf(model)
  for (const step of stepsOf(wires)) {
    if ('reset' in step) {
      await bus.hold(step.reset === 0)
      await clock.pause(step.reset === 0 ? RESET_MS : AFTER_RESET_MS)
      continue
    }
    if (!step.sleeping) for (let looks = 0; await bus.busy() === 1 && looks < LOOKS_MAX; looks++) await clock.pause(LOOK_MS)
    await bus.command(step.command, step.data)
  }
  await clock.pause(LOOK_MS * LOOKS_MAX) // The last refresh ends.
  return glass()
}

function glassOf(model: EinkModel) {
  const emulator = emulated(model)
  return { bus: emulator.bus, clock: emulator.clock, glass: () => emulator.glass() }
}

type GlassStep = { readonly reset: 0 | 1 } | { readonly command: number; readonly data: Uint8Array; readonly sleeping: boolean }

/** D/C low begins a command; what follows while it is high is its data, however it was cut. */
function stepsOf(wires: readonly Wire[]): readonly GlassStep[] {
  const steps: ({ readonly reset: 0 | 1 } | { readonly command: number; readonly parts: Buffer[]; readonly sleeping: boolean })[] = []
  let sleeping = false
  for (const wire of wires) {
    const last = steps.at(-1)
    if ('reset' in wire) {
      if (wire.reset === 0) sleeping = false
      if (last === undefined || !('reset' in last) || last.reset !== wire.reset) steps.push({ reset: wire.reset })
    } else if (wire.dc === 1 && last !== undefined && 'command' in last) {
      last.parts.push(Buffer.from(wire.bytes, 'base64'))
    } else {
      for (const command of Buffer.from(wire.bytes, 'base64')) {
        steps.push({ command, parts: [], sleeping })
        if (command === 0x10) sleeping = true // SSD1680, deep sleep: BUSY stays high until a reset.
      }
    }
  }
  return steps.map((step) => ('reset' in step ? step : { command: step.command, data: Buffer.concat(step.parts), sleeping: step.sleeping }))
}
