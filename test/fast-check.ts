import fc from 'fast-check';

// By default fast-check makes nothing longer than ten, whatever `maxLength` is: too short to find most faults.
fc.configureGlobal({ ...fc.readConfigureGlobal(), defaultSizeToMaxWhenMaxSpecified: true });

export default fc;
