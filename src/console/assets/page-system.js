// The machine and the program on it, how it is updated, and what to send to whoever is asked for help.

import { html } from './html.js';
import { Advice, Card, Meter, Section, State, Time, Values } from './parts.js';
import { bytes, count, duration, latency, percent } from './format.js';

const DISKS = { runtime: 'Runtime (memory)', spool: 'Spool' };

// A value with how near it is to its limit.
const full = (text, part, whole, label) => html`${text}<${Meter} part=${part} whole=${whole} label=${label} text=${text} />`;

export function System({ status }) {
  const { service, system } = status;
  const used = system.memory_bytes - system.memory_available_bytes;
  return html`
    <div class="cards">
      <${Card} label="Program" name="framegate" state=${service.ready ? 'ready' : 'not ready'} kind=${service.ready ? 'ok' : 'error'}>
        <${Values} of=${[
    ['Version', service.version],
    ['Running for', duration(service.uptime_seconds)],
    ['Since', html`<${Time} at=${service.started} both />`],
    ['Memory', bytes(service.memory_bytes)],
    ['Descriptors', full(`${count(service.descriptors)} of ${count(service.descriptor_limit)}`, service.descriptors, service.descriptor_limit, 'Descriptors')],
    ['Self-test', html`<${SelfTest} test=${service.self_test} />`, true],
  ]} />
      </${Card}>
      <${Card} label="Machine" name="Machine">
        <${Values} of=${[
    ['Device', system.device_id || 'no appliance'],
    ['Box profile', system.profile || 'none fits'],
    ['Image', system.image_version || 'none of ours'],
    ['Slot', system.slot || 'none'],
    ['Running for', duration(system.uptime_seconds)],
    ['Load', full(percent(system.load, 1), system.load, 1, 'Load')],
    ['Memory', full(`${bytes(used)} of ${bytes(system.memory_bytes)}`, used, system.memory_bytes, 'Memory')],
  ]} />
      </${Card}>
      <${Card} label="Disks" name="Disks">
        <${Values} of=${system.disks.length === 0 ? [['Written to', 'none']] : system.disks.map((disk) => [
    DISKS[disk.name] ?? disk.name,
    full(`${bytes(disk.free_bytes)} free of ${bytes(disk.bytes)}`, disk.bytes - disk.free_bytes, disk.bytes, `Disk ${disk.name}`), true,
  ])} />
      </${Card}>
      <${Card} label="Temperatures" name="Temperatures">
        <${Values} of=${system.temperatures.length === 0 ? [['Sensors', 'none']] : system.temperatures.map(temperature)} />
      </${Card}>
    </div>
    <${Section} title="Support bundle" id="support">
      <p>One file with configuration, status, journal and measurements, without names or identifiers of patients. It lists what it holds.</p>
      <p><a class="button" href="/api/support-bundle" download>Download the support bundle</a></p>
    </${Section}>
    <${Section} title="Update" id="update">
      ${system.slot ? html`<p>Runs from slot ${system.slot}. An update goes to the other slot; if it does not work there, the box goes back to this one by itself.</p>
        <ol><li>Copy the signed bundle, <code>framegate-VERSION.raucb</code>, to the service stick.</li>
          <li>Plug the stick in. The screen of the box says when the update is in the other slot.</li>
          <li>Restart the box when the room is free, and look here whether the version is the new one.</li></ol>`
    : html`<p>This machine has no slots. framegate is replaced as it was installed, and started again by its service manager.</p>`}
    </${Section}>`;
}

function SelfTest({ test }) {
  if (!test) return html`<${State} name="not yet run" kind="busy" />`;
  return html`<${State} name=${test.ok ? 'passed' : 'failed'} kind=${test.ok ? 'ok' : 'error'} /> at <${Time} at=${test.at} />, in ${latency(test.microseconds / 1e6)}
    ${test.failed ? html`<${Advice}>${test.failed}</${Advice}>` : null}`;
}

function temperature({ name, celsius, critical_celsius: limit }) {
  const degrees = (n) => `${n.toFixed(0)}\u00a0°C`;
  return [name, limit == null ? degrees(celsius) : full(`${degrees(celsius)}, critical at ${degrees(limit)}`, celsius, limit, name)];
}
