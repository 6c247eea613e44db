import fc from 'fast-check';

// By itself fast-check makes nothing longer than ten, whatever `maxLength` says: too short a life for most faults.
fc.configureGlobal({ ...fc.readConfigureGlobal(), defaultSizeToMaxWhenMaxSpecified: true });

export default fc;
